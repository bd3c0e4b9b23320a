//! Small programs that use Majordomo. Each lies in `examples/` and is run by
//! the tests in `tests/`, which compare what it prints.
