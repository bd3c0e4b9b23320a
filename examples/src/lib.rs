//! Small programs that use Majordomo.
