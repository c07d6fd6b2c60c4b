"""Start a study on machines of a cloud or a cluster. Needs no jax and no installed sycojax, only Python and the vendor's tool."""
