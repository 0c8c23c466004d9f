/* What Triton's driver asks of CUDA, on a machine without it: there is one device, all of its memory is the host's, and
   whoever has called emulate() launches the kernels. */

#include <stdint.h>

typedef int (*launcher)(unsigned programs, uint64_t function, void **params);

struct config { /* CUlaunchConfig begins like this */
  unsigned grid[3], block[3], shared;
};

enum { DEVICE_POINTER = 3, THREADS = 1024, SHARED = 227 << 10 };

static launcher launch;
static uint64_t functions;

void emulate(launcher by) { launch = by; }

int cuLaunchKernelEx(const struct config *how, uint64_t function, void **params, void **extra) {
  return launch(how->grid[0], function, params);
}

int cuModuleGetFunction(uint64_t *function, void *module, const char *name) {
  *function = ++functions;
  return 0;
}

int cuPointerGetAttribute(uint64_t *value, int what, uint64_t pointer) {
  *value = pointer;
  return 0;
}

int cuPointerGetAttributes(unsigned count, const int *what, void **values, uint64_t pointer) {
  for (unsigned at = 0; at < count; at++) {
    if (what[at] == DEVICE_POINTER)
      *(uint64_t *)values[at] = pointer;
    else
      *(unsigned *)values[at] = 2; /* memory of a device */
  }
  return 0;
}

int cuFuncGetAttribute(int *value, int what, uint64_t function) {
  *value = what == 0 ? THREADS : 0; /* no register, and nothing spilled */
  return 0;
}

int cuDeviceGetAttribute(int *value, int what, int device) {
  *value = SHARED; /* the only one that matters */
  return 0;
}

int cuGetErrorString(int code, const char **text) {
  *text = "a launch failed in the emulator";
  return 0;
}

#define GIVES_NOTHING(name) \
  int name(void) { return 0; }
#define GIVES(name, type, what) \
  int name(type *given) { \
    *given = what; \
    return 0; \
  }

GIVES_NOTHING(cuInit)
GIVES_NOTHING(cuCtxSetCurrent)
GIVES_NOTHING(cuCtxSetLimit)
GIVES_NOTHING(cuFuncSetAttribute)
GIVES_NOTHING(cuFuncSetCacheConfig)
GIVES_NOTHING(cuModuleUnload)
GIVES(cuCtxGetCurrent, void *, (void *)1)
GIVES(cuCtxGetDevice, int, 0)
GIVES(cuCtxGetLimit, uint64_t, 0)
GIVES(cuDeviceGet, int, 0)
GIVES(cuDevicePrimaryCtxRetain, void *, (void *)1)
GIVES(cuDriverGetVersion, int, 13000)
GIVES(cuModuleLoadData, void *, (void *)1)

int cuStreamIsCapturing(void *stream, int *status) {
  *status = 0;
  return 0;
}
