// Common code of the kernels. SCALAR is the number format of activations and KV cache (float, f16 or bf16); sums are
// computed in float32. NVRTC comes without headers, so this file converts the 16-bit formats.

#define INFINITY __int_as_float(0x7f800000)

struct bf16 {
    unsigned short bits;
};
struct f16 {
    unsigned short bits;
};

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __uint_as_float((unsigned)x.bits << 16); }
__device__ __forceinline__ float to_float(f16 x) {
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(x.bits));
    return f;
}

__device__ __forceinline__ void from_float(float f, float &x) { x = f; }
__device__ __forceinline__ void from_float(float f, bf16 &x) { // to nearest, ties to even
    unsigned u = __float_as_uint(f);
    x.bits = (u & 0x7fffffffu) > 0x7f800000u ? 0x7fff : (unsigned short)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
__device__ __forceinline__ void from_float(float f, f16 &x) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(x.bits) : "f"(f)); }

// The sum over a block of at most 1024 threads, returned to all threads.
__device__ __forceinline__ float block_sum(float x) {
    __shared__ float warps[32];
    for (int i = 16; i > 0; i >>= 1) x += __shfl_xor_sync(0xffffffffu, x, i);
    int lane = threadIdx.x % 32, count = (blockDim.x + 31) / 32;
    if (lane == 0) warps[threadIdx.x / 32] = x;
    __syncthreads();
    x = lane < count ? warps[lane] : 0.0f;
    for (int i = 16; i > 0; i >>= 1) x += __shfl_xor_sync(0xffffffffu, x, i);
    return x;
}

// Loads eight neighbouring numbers as float32, of which `n` exist. If `whole` is set, they are aligned and take one or
// two loads.
template <typename T>
__device__ __forceinline__ void load8(const T *p, float (&out)[8], bool whole, int n) {
    if (whole && n >= 8) {
        union {
            uint4 words[sizeof(T) / 2];
            T values[8];
        } u;
        for (int i = 0; i < (int)sizeof(T) / 2; i++) u.words[i] = reinterpret_cast<const uint4 *>(p)[i];
        for (int i = 0; i < 8; i++) out[i] = to_float(u.values[i]);
    } else {
        for (int i = 0; i < 8; i++) out[i] = i < n ? to_float(p[i]) : 0.0f;
    }
}
