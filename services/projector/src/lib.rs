//! hemostat-projector
