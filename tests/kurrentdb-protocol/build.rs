//! Makes the services' code from the `.proto` files, with a compiler of Rust's own: no `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=protos");
    let files = ["streams.proto", "gossip.proto", "serverfeatures.proto"];
    let descriptors = protox::compile(files, ["protos"])?;
    tonic_build::configure().build_client(false).compile_fds(descriptors)?;
    Ok(())
}
