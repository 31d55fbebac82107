"""Eight virtual CPU devices stand in for a pod; set before JAX starts."""

import jax

jax.config.update("jax_num_cpu_devices", 8)
