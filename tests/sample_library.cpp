// A shared library to load.
extern "C" int sample_answer() { return 42; }
