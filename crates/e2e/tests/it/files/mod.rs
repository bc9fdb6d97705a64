//! Files: objects become files before a handler runs, and files become objects after it.

mod orchestrated;
