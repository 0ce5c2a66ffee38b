// Fused kernels for operations that take several launches in libtorch. Rows are tokens.

// Root mean square normalisation of rows; with ADD, of `residual + x`, which is also stored in `residual`.
template <bool ADD>
__device__ void rms_norm_row(const SCALAR *x, SCALAR *residual, const SCALAR *weight, SCALAR *out, int columns, float eps) {
    long start = (long)blockIdx.x * columns;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) {
        float v = to_float(x[start + i]);
        if (ADD) {
            from_float(v + to_float(residual[start + i]), residual[start + i]);
            v = to_float(residual[start + i]);
        }
        sum += v * v;
    }
    float scale = rsqrtf(block_sum(sum) / columns + eps);
    const SCALAR *normed = ADD ? residual : x;
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        from_float(to_float(normed[start + i]) * scale * to_float(weight[i]), out[start + i]);
}

extern "C" __global__ void rms_norm(const SCALAR *x, const SCALAR *weight, SCALAR *out, int columns, float eps) {
    rms_norm_row<false>(x, nullptr, weight, out, columns, eps);
}

extern "C" __global__ void fused_add_rms_norm(const SCALAR *x, SCALAR *residual, const SCALAR *weight, SCALAR *out, int columns,
                                              float eps) {
    rms_norm_row<true>(x, residual, weight, out, columns, eps);
}

// Normalises groups of `run` columns from column `first` on in place; rows are `stride` apart. One block per group.
extern "C" __global__ void rms_norm_columns(SCALAR *x, long stride, int first, int run, const SCALAR *weight, float eps) {
    SCALAR *p = x + blockIdx.x * stride + first + (long)blockIdx.y * run;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < run; i += blockDim.x) sum += to_float(p[i]) * to_float(p[i]);
    float scale = rsqrtf(block_sum(sum) / run + eps);
    for (int i = threadIdx.x; i < run; i += blockDim.x) from_float(to_float(p[i]) * scale * to_float(weight[i]), p[i]);
}

// Split-half (NeoX) rotation of `heads` heads: rotates column i with column i + half. One block per token.
extern "C" __global__ void rotary(SCALAR *qkv, long stride, int heads, int head_dim, int half, const float *cos, const float *sin) {
    SCALAR *row = qkv + blockIdx.x * stride;
    for (int at = threadIdx.x; at < heads * half; at += blockDim.x) {
        int i = at % half;
        SCALAR *a = row + (long)(at / half) * head_dim + i, *b = a + half;
        float c = cos[(long)blockIdx.x * half + i], s = sin[(long)blockIdx.x * half + i];
        float x = to_float(*a), y = to_float(*b);
        from_float(x * c - y * s, *a);
        from_float(y * c + x * s, *b);
    }
}

// Writes the keys (from column `first`) and the values after them to their slots. One block per token.
extern "C" __global__ void store_kv(const SCALAR *qkv, long stride, int first, int columns, const long *slots, SCALAR *k_pool,
                                    SCALAR *v_pool) {
    const SCALAR *row = qkv + blockIdx.x * stride + first;
    long to = slots[blockIdx.x] * columns;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) {
        k_pool[to + i] = row[i];
        v_pool[to + i] = row[columns + i];
    }
}

// activation(gate) * up for rows [gate, up]; activation 0 is SiLU, 1 is the tanh approximation of GELU.
extern "C" __global__ void act_and_mul(const SCALAR *gate_up, SCALAR *out, int inner, long count, int activation) {
    for (long at = (long)blockIdx.x * blockDim.x + threadIdx.x; at < count; at += (long)gridDim.x * blockDim.x) {
        long row = at / inner, i = at % inner;
        float gate = to_float(gate_up[row * 2 * inner + i]), up = to_float(gate_up[row * 2 * inner + inner + i]);
        float active = activation == 0 ? gate / (1.0f + expf(-gate))
                                       : 0.5f * gate * (1.0f + tanhf(0.7978845608028654f * (gate + 0.044715f * gate * gate * gate)));
        from_float(active * up, out[at]);
    }
}

// Index of the (first) largest logit of each row; sets `odd` to 1 if the row has NaN or an infinite maximum.
extern "C" __global__ void argmax_rows(const float *logits, long width, int vocab, int *ids, int *odd) {
    const float *row = logits + blockIdx.x * width;
    float best = -INFINITY;
    int id = vocab, nan = 0;
    for (int i = threadIdx.x; i < vocab; i += blockDim.x) {
        float x = row[i];
        nan |= x != x;
        if (x > best) {
            best = x;
            id = i;
        }
    }
    __shared__ float values[1024];
    __shared__ int at[1024];
    __shared__ int any_nan;
    if (threadIdx.x == 0) any_nan = 0;
    __syncthreads();
    if (nan) any_nan = 1;
    values[threadIdx.x] = best;
    at[threadIdx.x] = id;
    for (int n = blockDim.x / 2; n > 0; n /= 2) {
        __syncthreads();
        if (threadIdx.x < n) {
            float other = values[threadIdx.x + n];
            int other_at = at[threadIdx.x + n];
            if (other > values[threadIdx.x] || (other == values[threadIdx.x] && other_at < at[threadIdx.x])) {
                values[threadIdx.x] = other;
                at[threadIdx.x] = other_at;
            }
        }
    }
    if (threadIdx.x == 0) {
        ids[blockIdx.x] = at[0];
        odd[blockIdx.x] = any_nan || values[0] == INFINITY || values[0] == -INFINITY;
    }
}
