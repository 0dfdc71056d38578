//! hemostat-tests
