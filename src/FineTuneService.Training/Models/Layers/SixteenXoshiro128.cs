using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace FineTuneService.Training.Models.Layers;

/// <summary>xoshiro128++ (Blackman and Vigna 2021, arXiv:1805.01407), one in each of sixteen lanes; SplitMix64 fills their states, as its authors advise.</summary>
internal struct SixteenXoshiro128
{
    private Vector512<uint> _a, _b, _c, _d;

    public SixteenXoshiro128(Vector512<uint> a, Vector512<uint> b, Vector512<uint> c, Vector512<uint> d) => (_a, _b, _c, _d) = (a, b, c, d);

    public SixteenXoshiro128(long seed)
    {
        Span<ulong> states = stackalloc ulong[4 * Vector512<ulong>.Count];
        var state = (ulong)seed;
        foreach (ref var next in states)
        {
            var mixed = state += 0x9E3779B97F4A7C15;
            mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
            mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
            next = mixed ^ (mixed >> 31);
        }
        var vectors = MemoryMarshal.Cast<ulong, Vector512<uint>>(states);
        (_a, _b, _c, _d) = (vectors[0], vectors[1], vectors[2], vectors[3]);
    }

    /// <summary>The next number of each.</summary>
    public Vector512<uint> Next()
    {
        var result = RotateLeft(_a + _d, 7) + _a;
        var shifted = _b << 9;
        _c ^= _a;
        _d ^= _b;
        _b ^= _c;
        _a ^= _d;
        _c ^= shifted;
        _d = RotateLeft(_d, 11);
        return result;
    }

    private static Vector512<uint> RotateLeft(Vector512<uint> value, int bits) => (value << bits) | (value >>> (32 - bits));
}
