// Attention of one new token per request over the paged pool (flash-decoding: Dao et al., 2023). A block processes the
// keys of one split of one request for H query heads that share a KV head. LANES threads process a key, eight columns
// each, so a warp reads 32 / LANES keys at once. Each group of LANES threads keeps an online softmax; the groups are
// merged at the end. LANES (8, 16 or 32) and H are macros: each head layout has a program, compiled on first use.

struct DecodeArgs {
    const SCALAR *q; // rows `q_stride` apart
    long q_stride;
    const SCALAR *k_pool, *v_pool; // [slots, kv_heads, head_dim]
    const int *slots;              // of all positions of all requests
    const int *starts;             // [requests + 1] into `slots`
    const float *sinks;            // [heads], or null
    SCALAR *out;                   // [requests, heads, head_dim]
    float *partial;                // [requests, heads, splits, head_dim + 2], unless there is one split
    int kv_heads, group, head_dim, window, splits;
    float scale, cap; // `window` and `cap` are 0 where there is none
};

#define THREADS 128

__device__ void paged_decode_block(const DecodeArgs &a) {
    constexpr int GROUPS = THREADS / LANES;
    int chunks = (a.group + H - 1) / H;
    int kv_head = blockIdx.x / chunks, first_in_group = blockIdx.x % chunks * H;
    int heads_here = min(H, a.group - first_in_group), first_head = kv_head * a.group + first_in_group;
    int request = blockIdx.y, split = blockIdx.z;
    int lane = threadIdx.x % LANES, group = threadIdx.x / LANES;
    unsigned mask = LANES == 32 ? 0xffffffffu : ((1u << (LANES % 32)) - 1u) << (threadIdx.x % 32 / LANES * LANES);
    int column = lane * 8, columns = a.head_dim - column;
    bool whole = a.head_dim % 8 == 0;

    const int *slots = a.slots + a.starts[request];
    int length = a.starts[request + 1] - a.starts[request];
    int first = a.window > 0 ? max(0, length - a.window) : 0;
    int each = (length - first + a.splits - 1) / a.splits;
    int begin = first + split * each, end = min(length, begin + each);

    float q[H][8], acc[H][8], m[H], l[H];
#pragma unroll
    for (int h = 0; h < H; h++) {
        int head = first_head + min(h, heads_here - 1);
        load8(a.q + request * a.q_stride + (long)head * a.head_dim + column, q[h], whole, columns);
        m[h] = -INFINITY;
        l[h] = 0.0f;
        for (int i = 0; i < 8; i++) {
            q[h][i] *= a.scale;
            acc[h][i] = 0.0f;
        }
    }
    for (int position = begin + group; position < end; position += GROUPS) {
        long at = ((long)slots[position] * a.kv_heads + kv_head) * a.head_dim + column;
        float k[8], v[8];
        load8(a.k_pool + at, k, whole, columns);
        load8(a.v_pool + at, v, whole, columns);
#pragma unroll
        for (int h = 0; h < H; h++) {
            float score = 0.0f;
            for (int i = 0; i < 8; i++) score += q[h][i] * k[i];
            for (int i = LANES / 2; i > 0; i >>= 1) score += __shfl_xor_sync(mask, score, i);
            if (a.cap > 0.0f) score = a.cap * tanhf(score / a.cap);
            float larger = fmaxf(m[h], score), old = expf(m[h] - larger), weight = expf(score - larger);
            m[h] = larger;
            l[h] = l[h] * old + weight;
            for (int i = 0; i < 8; i++) acc[h][i] = acc[h][i] * old + weight * v[i];
        }
    }

    // Merges the groups of the block head by head.
    __shared__ float sums[GROUPS][LANES * 8];
    __shared__ float maxima[GROUPS], totals[GROUPS];
    int heads = a.kv_heads * a.group;
#pragma unroll
    for (int h = 0; h < H; h++) {
        if (h >= heads_here) break;
        __syncthreads();
        for (int i = 0; i < 8; i++) sums[group][column + i] = acc[h][i];
        if (lane == 0) {
            maxima[group] = m[h];
            totals[group] = l[h];
        }
        __syncthreads();
        float largest = -INFINITY, total = 0.0f;
        for (int g = 0; g < GROUPS; g++) largest = fmaxf(largest, maxima[g]);
        for (int g = 0; g < GROUPS; g++)
            if (maxima[g] > -INFINITY) total += totals[g] * expf(maxima[g] - largest);
        int head = first_head + h;
        float rest = 1.0f;
        if (a.splits == 1) {
            if (a.sinks) {
                float with_sink = fmaxf(largest, a.sinks[head]);
                rest = expf(largest - with_sink);
                total = total * rest + expf(a.sinks[head] - with_sink);
            }
            rest /= total;
        }
        for (int i = threadIdx.x; i < a.head_dim; i += THREADS) {
            float sum = 0.0f;
            for (int g = 0; g < GROUPS; g++)
                if (maxima[g] > -INFINITY) sum += sums[g][i] * expf(maxima[g] - largest);
            if (a.splits == 1)
                from_float(sum * rest, a.out[((long)request * heads + head) * a.head_dim + i]);
            else
                a.partial[(((long)request * heads + head) * a.splits + split) * (a.head_dim + 2) + 2 + i] = sum;
        }
        if (a.splits > 1 && threadIdx.x == 0) {
            float *to = a.partial + (((long)request * heads + head) * a.splits + split) * (a.head_dim + 2);
            to[0] = largest;
            to[1] = total;
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) paged_decode(DecodeArgs a) { paged_decode_block(a); }

// Merges the splits. One block per request and head.
extern "C" __global__ void paged_decode_join(const float *partial, const float *sinks, SCALAR *out, int heads, int splits, int head_dim) {
    long row = blockIdx.x;
    const float *from = partial + row * splits * (head_dim + 2);
    float largest = sinks ? sinks[row % heads] : -INFINITY;
    for (int s = 0; s < splits; s++) largest = fmaxf(largest, from[s * (head_dim + 2)]);
    float total = sinks ? expf(sinks[row % heads] - largest) : 0.0f;
    for (int s = 0; s < splits; s++) {
        float m = from[s * (head_dim + 2)];
        if (m > -INFINITY) total += from[s * (head_dim + 2) + 1] * expf(m - largest);
    }
    for (int i = threadIdx.x; i < head_dim; i += blockDim.x) {
        float sum = 0.0f;
        for (int s = 0; s < splits; s++) {
            float m = from[s * (head_dim + 2)];
            if (m > -INFINITY) sum += from[s * (head_dim + 2) + 2 + i] * expf(m - largest);
        }
        from_float(sum / total, out[row * head_dim + i]);
    }
}
