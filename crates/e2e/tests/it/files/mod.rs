//! Files: objects become files before a handler runs, and files become objects after it. Against our own store and moto's.

mod changing;
mod denied;
mod fair;
mod full_disk;
mod leftovers;
mod moved;
mod names;
mod orchestrated;
mod planted;
mod sent;
mod site;
mod troubles;
