using System.Runtime.InteropServices;

namespace FineTuneService.Training.Native;

/// <summary>
/// glibc gives large blocks back to the system as soon as they are free, and gets them again, page by page and set to zero, for the next tensor of that size:
/// a quarter of a small model's step. A training process needs the same blocks at every step, so it keeps them.
/// </summary>
internal static partial class HostMemory
{
    /// <summary>To be called before the first large tensor.</summary>
    /// <returns>True when the allocator took all of it.</returns>
    public static bool Keep()
    {
        // malloc.h
        const int TrimThreshold = -1, TopPad = -2, MmapMax = -4;
        return (Set(MmapMax, 0) & Set(TrimThreshold, int.MaxValue) & Set(TopPad, 64 << 20)) == 1;
    }

    [LibraryImport("libc", EntryPoint = "mallopt")]
    private static partial int Set(int parameter, int value);
}
