# 32 bits by the host's gcc with libc6-dev-i386 and lib32gcc-12-dev. (gcc-multilib, which would bring the kernel's headers
# to where -m32 looks for them, excludes the cross compiler for aarch64.)
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR i386)
set(CMAKE_C_COMPILER gcc)
set(CMAKE_C_FLAGS_INIT "-m32 -idirafter /usr/include/x86_64-linux-gnu")
