//! hemostat-responder
