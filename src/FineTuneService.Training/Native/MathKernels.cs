using System.Runtime.Intrinsics.X86;

namespace FineTuneService.Training.Native;

/// <summary>
/// MKL, which multiplies libtorch's fp32 matrices, asks whether the processor is Intel's before it looks at what the processor can do:
/// on another maker's with AVX-512 it takes kernels of half the width or less. It keeps the answer in a variable; here the answer is given before MKL asks.
/// </summary>
internal static unsafe class MathKernels
{
    private const string Question = "mkl_serv_intel_cpu_true";

    private static readonly string[] Libraries = ["libtorch_cpu.so", "libtorch_cuda.so"];

    /// <summary>Whether this processor multiplies numbers in fp16; where it does not, libtorch takes products one number at a time.</summary>
    public static bool MultipliesFp16 { get; } = !X86Base.IsSupported || (X86Base.CpuId(7, 0).Edx & (1 << 23)) != 0; // AVX512-FP16

    /// <returns>True when MKL now takes what the processor offers and would not have done so by itself.</returns>
    public static bool UseWidest()
    {
        if (!Avx512F.IsSupported || IsIntel())
            return false;
        var answer = Answer();
        if (answer is null)
            return false;
        *answer = 1;
        return true;
    }

    /// <summary>The variable that <c>mkl_serv_intel_cpu_true</c> begins by reading (−1: not asked yet); null where that function is missing or begins otherwise.</summary>
    private static int* Answer()
    {
        var code = (byte*)Libraries.Select(library => LoadedLibrary.Export(library, Question)).FirstOrDefault(address => address != 0);
        if (code is null)
            return null;
        // mov eax, [rip + offset]; test eax, eax; js …: below 0 it does not know yet.
        ReadOnlySpan<byte> load = [0x8B, 0x05], test = [0x85, 0xC0, 0x78];
        var begins = new ReadOnlySpan<byte>(code, 9);
        return begins.StartsWith(load) && begins[6..].SequenceEqual(test) ? (int*)(code + 6 + *(int*)(code + 2)) : null;
    }

    private static bool IsIntel()
    {
        var (_, ebx, ecx, edx) = X86Base.CpuId(0, 0);
        return (ebx, edx, ecx) == (0x756E6547, 0x49656E69, 0x6C65746E); // "GenuineIntel"
    }
}
