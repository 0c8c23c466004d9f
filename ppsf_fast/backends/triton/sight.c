// The fast form of `Plain` in sight.py, which says what is recorded and compared.
//
// Tensors are asked through DLPack's exchange API, the C interface that torch offers to libraries: one call tells
// where a tensor lies, its dtype, shape and strides, without touching it.

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <ATen/dlpack.h>
#include <string.h>

// Addresses of gradients are compared in what they are divisible by.
enum { ALIGNED = 16 };
// A pass is bound by memory that no cache holds after a step of training. So it asks for some of that in advance: what
// torch knows of a tensor, in so many places, and the dict of a state. No result depends on it.
enum { LINE = 64, TENSORS_AHEAD = 10, PLACES = 3, STATES_AHEAD = 3 };
enum { ERROR = -1, SAME, OTHER };

typedef struct {
  int64_t *at;
  Py_ssize_t used, room;
} Words;

// A pass over all tensors: it compares with `facts` if it `compares`, else it writes them.
typedef struct {
  Words facts, gradients;
  int compares;
  const uintptr_t *ahead;
  Py_ssize_t next, known;
} Pass;

static DLPackDLTensorFromPyObjectNoSync describe;
static PyObject *grad_name, *is_negated;

static int append(Words *words, const int64_t *from, Py_ssize_t count) {
  if (words->used + count > words->room) {
    Py_ssize_t room = 2 * words->room + count + 64;
    int64_t *at = PyMem_Realloc(words->at, (size_t)room * sizeof *at);
    if (!at) {
      PyErr_NoMemory();
      return ERROR;
    }
    words->at = at;
    words->room = room;
  }
  memcpy(words->at + words->used, from, (size_t)count * sizeof *from);
  words->used += count;
  return SAME;
}

static int say(Pass *pass, const int64_t *words, Py_ssize_t count) {
  Words *facts = &pass->facts;
  if (!pass->compares) return append(facts, words, count);
  if (facts->used + count > facts->room || memcmp(facts->at + facts->used, words, (size_t)count * sizeof *words))
    return OTHER;
  facts->used += count;
  return SAME;
}

static int say_one(Pass *pass, int64_t word) {
  return say(pass, &word, 1);
}

static inline void fetch(uintptr_t from, int lines) {
  for (int line = 0; line < lines; line++) __builtin_prefetch((const void *)(from + LINE * line));
}

// A later tensor: its object of Python, what that stands for, and its storage, where they were.
static void fetch_tensor(Pass *pass) {
  Py_ssize_t place = pass->next++ + TENSORS_AHEAD;
  if (place >= pass->known) return;
  const uintptr_t *of = pass->ahead + PLACES * place;
  fetch(of[0], 1);
  fetch(of[1], 4);
  fetch(of[2], 2);
}

// A later state, and the entries of one that comes before it.
static void fetch_states(PyObject *states, Py_ssize_t *later, Py_ssize_t *sooner) {
  PyObject *state;
  if (PyDict_Next(states, later, NULL, &state)) fetch((uintptr_t)state, 1);
#if PY_VERSION_HEX < 0x030f0000  // of later versions nobody knows where the entries are
  if (PyDict_Next(states, sooner, NULL, &state) && PyDict_Check(state))
    fetch((uintptr_t)((PyDictObject *)state)->ma_keys, 4);
#endif
}

// Whether memory holds the negative of what a tensor stands for, of which DLPack tells nothing. It is asked of every
// tensor that is recorded, and later of gradients alone: it takes a seventh of what else is asked.
static int see_sign(PyObject *tensor) {
  PyObject *negated = PyObject_CallOneArg(is_negated, tensor);
  if (!negated) PyErr_Clear();
  int result = negated == Py_False ? SAME : OTHER;
  Py_XDECREF(negated);
  return result;
}

static int see_tensor(Pass *pass, PyObject *tensor, int moves) {
  DLTensor seen;
  if (describe(tensor, &seen)) {  // no tensor, or none with memory
    PyErr_Clear();
    return OTHER;
  }
  int64_t address = (int64_t)(intptr_t)seen.data + (int64_t)seen.byte_offset;
  int64_t about[] = {
      moves ? address % ALIGNED : address,
      (int64_t)seen.dtype.code << 32 | seen.dtype.bits << 16 | seen.dtype.lanes,
      (int64_t)seen.device.device_type << 32 | (uint32_t)seen.device.device_id,
      seen.ndim,
  };
  int result = say(pass, about, sizeof about / sizeof *about);
  if (result == SAME && seen.ndim) result = say(pass, seen.shape, seen.ndim);
  if (result == SAME && seen.ndim) result = say(pass, seen.strides, seen.ndim);
  if (result == SAME && (moves || !pass->compares)) result = see_sign(tensor);
  if (result == SAME && moves) result = append(&pass->gradients, &address, 1);
  return result;
}

static int see_gradient(Pass *pass, PyObject *param) {
  PyObject *gradient = PyObject_GetAttr(param, grad_name);
  if (!gradient) return ERROR;
  int there = gradient != Py_None;
  int result = say_one(pass, there);
  if (result == SAME && there) {
    fetch_tensor(pass);
    result = see_tensor(pass, gradient, 1);
  }
  Py_DECREF(gradient);
  return result;
}

static int see_group(Pass *pass, PyObject *params, int counts) {
  int result = say_one(pass, PyList_GET_SIZE(params));
  for (Py_ssize_t place = 0; result == SAME && place < PyList_GET_SIZE(params); place++) {
    PyObject *param = PyList_GET_ITEM(params, place);
    Py_INCREF(param);
    fetch_tensor(pass);
    result = say_one(pass, (int64_t)(intptr_t)param);
    if (result == SAME) result = see_tensor(pass, param, 0);
    if (result == SAME && counts) result = see_gradient(pass, param);
    Py_DECREF(param);
  }
  return result;
}

// Nothing that is called here runs code of Python, which might change a dict.
static int see_states(Pass *pass, PyObject *states) {
  PyObject *param, *state, *name, *value;
  Py_ssize_t of_states = 0, sooner = 0, later = 0;
  for (int place = 0; place < STATES_AHEAD; place++) PyDict_Next(states, &sooner, NULL, NULL);
  for (int place = 0; place < 2 * STATES_AHEAD; place++) PyDict_Next(states, &later, NULL, NULL);
  while (PyDict_Next(states, &of_states, &param, &state)) {
    fetch_states(states, &later, &sooner);
    if (!PyDict_Check(state)) return OTHER;
    int64_t whose[] = {(int64_t)(intptr_t)param, PyDict_Size(state)};
    int result = say(pass, whose, 2);
    Py_ssize_t of_state = 0;
    while (result == SAME && PyDict_Next(state, &of_state, &name, &value)) {
      if (!PyUnicode_Check(name)) return OTHER;
      fetch_tensor(pass);
      result = say_one(pass, PyObject_Hash(name));
      if (result == SAME) result = see_tensor(pass, value, 0);
    }
    if (result != SAME) return result;
  }
  return SAME;
}

static int see(Pass *pass, PyObject *groups, PyObject *counts, PyObject *states) {
  if (PyList_GET_SIZE(groups) != PyList_GET_SIZE(counts)) return OTHER;
  for (Py_ssize_t group = 0; group < PyList_GET_SIZE(groups); group++) {
    PyObject *params = PyList_GET_ITEM(groups, group);
    if (!PyList_Check(params)) return OTHER;
    int result = see_group(pass, params, PyList_GET_ITEM(counts, group) == Py_True);
    if (result != SAME) return result;
  }
  return see_states(pass, states);
}

static PyObject *as_bytes(const Words *words, PyObject *(*make)(const char *, Py_ssize_t)) {
  return make((const char *)words->at, words->used * (Py_ssize_t)sizeof *words->at);
}

static PyObject *record(PyObject *self, PyObject *args) {
  PyObject *groups, *counts, *states, *found = NULL;
  if (!PyArg_ParseTuple(args, "O!O!O!", &PyList_Type, &groups, &PyList_Type, &counts, &PyDict_Type, &states))
    return NULL;
  Pass pass = {0};
  int result = see(&pass, groups, counts, states);
  if (result == SAME)
    found = Py_BuildValue("NN", as_bytes(&pass.facts, PyBytes_FromStringAndSize),
                          as_bytes(&pass.gradients, PyByteArray_FromStringAndSize));
  else if (result == OTHER)
    found = Py_NewRef(Py_None);
  PyMem_Free(pass.facts.at);
  PyMem_Free(pass.gradients.at);
  return found;
}

static PyObject *compare(PyObject *self, PyObject *args) {
  PyObject *groups, *counts, *states, *facts, *ahead, *found = NULL;
  if (!PyArg_ParseTuple(args, "O!O!O!SS", &PyList_Type, &groups, &PyList_Type, &counts, &PyDict_Type, &states, &facts,
                        &ahead))
    return NULL;
  Pass pass = {0};
  pass.compares = 1;
  pass.facts.at = (int64_t *)PyBytes_AS_STRING(facts);
  pass.facts.room = PyBytes_GET_SIZE(facts) / (Py_ssize_t)sizeof(int64_t);
  pass.ahead = (const uintptr_t *)PyBytes_AS_STRING(ahead);
  pass.known = PyBytes_GET_SIZE(ahead) / (PLACES * (Py_ssize_t)sizeof(uintptr_t));
  int result = see(&pass, groups, counts, states);
  if (result == SAME && pass.facts.used == pass.facts.room)
    found = as_bytes(&pass.gradients, PyByteArray_FromStringAndSize);
  else if (result != ERROR)
    found = Py_NewRef(Py_None);
  PyMem_Free(pass.gradients.at);
  return found;
}

static PyMethodDef methods[] = {
  {"record", record, METH_VARARGS, "Plain.record"},
  {"compare", compare, METH_VARARGS, "Plain.compare"},
  {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "ppsf_sight", NULL, -1, methods, NULL, NULL, NULL, NULL};

// The table of functions lives as long as the process.
static DLPackExchangeAPI *exchange(void) {
  DLPackExchangeAPI *api = NULL;
  PyObject *torch = PyImport_ImportModule("torch"), *tensor = NULL, *capsule = NULL;
  if (torch) tensor = PyObject_GetAttrString(torch, "Tensor");
  if (tensor) is_negated = PyObject_GetAttrString(tensor, "is_neg");
  if (is_negated) capsule = PyObject_GetAttrString(tensor, "__dlpack_c_exchange_api__");
  if (capsule) api = PyCapsule_GetPointer(capsule, "dlpack_exchange_api");
  Py_XDECREF(capsule);
  Py_XDECREF(tensor);
  Py_XDECREF(torch);
  return api;
}

PyMODINIT_FUNC PyInit_ppsf_sight(void) {
  DLPackExchangeAPI *api = exchange();
  if (!api || api->header.version.major != DLPACK_MAJOR_VERSION || !api->dltensor_from_py_object_no_sync) {
    PyErr_SetString(PyExc_ImportError, "torch describes no tensors by the version of DLPack that this is made for");
    return NULL;
  }
  describe = api->dltensor_from_py_object_no_sync;
  grad_name = PyUnicode_InternFromString("grad");
  return grad_name ? PyModule_Create(&module) : NULL;
}
