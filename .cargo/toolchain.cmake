# CMake settings for the C++ libraries that cargo builds.

# LevelDB's build asks whether the compiler knows -Wthread-safety, an option of clang alone. gcc ignores it with a warning, the
# build takes that for a yes, and the header that it then uses does not compile.
set(HAVE_CLANG_THREAD_SAFETY 0 CACHE INTERNAL "clang's thread-safety analysis")

# RocksDB's build brings a copy of Snappy of another version. A program with both databases links both copies, which need two names.
add_compile_definitions(snappy=snappy_of_leveldb)
