//! Files: objects are downloaded before a handler runs, and files are uploaded after it. With our own S3 storage and
//! with moto.

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
