"""The step as one call of a kernel in C++, which is compiled on this machine when it is first needed."""
