using System.ComponentModel;
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace FineTuneService.Training.Native;

/// <summary>
/// A training process needs the same blocks at every step, so its allocator keeps them: tcmalloc (github.com/gperftools/gperftools) where the system has it. Else it is glibc, which finds holes for a step's
/// tensors so badly that they take up to twice the memory, and which of itself gives large blocks back to the system as soon as they are free, and gets them again, page by page and set to zero; so it is
/// told to keep them too, in huge pages where there are some. Managed memory is collected between steps only, see <see cref="Collect"/>.
/// </summary>
public static partial class HostMemory
{
    private const string Tunables = "GLIBC_TUNABLES", YoungBytes = "DOTNET_GCgen0size", Preload = "LD_PRELOAD", TcMalloc = "libtcmalloc_minimal.so.4";

    private const long BytesBetweenCollections = 64 << 20;

    /// <summary>Only a process that has begun anew works for one model, in one thread.</summary>
    private static bool IsOurs { get; } = Environment.GetEnvironmentVariable(Tunables) == Settings;

    private static long CollectedAt { get; set; }

    private static int Collections { get; set; }

    private static long Peak { get; set; }

    private static SafeFileHandle PageCounts { get; } = File.OpenHandle("/proc/self/statm");

    // glibc's manual, "Memory Allocation Tunables".
    private const string Settings = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=4000000000:glibc.malloc.top_pad=67108864";

    /// <summary>What can be set while the process runs; to be called before the first large tensor.</summary>
    /// <returns>True when the allocator took all of it.</returns>
    public static bool Keep()
    {
        // malloc.h
        const int TrimThreshold = -1, TopPad = -2, MmapMax = -4;
        return (Set(MmapMax, 0) & Set(TrimThreshold, int.MaxValue) & Set(TopPad, 64 << 20)) == 1;
    }

    /// <summary>
    /// A process has its allocator before it begins: begins this one anew, same number, same arguments, unless somebody has set <c>GLIBC_TUNABLES</c> already.
    /// To be called before anything is opened or read. Returns only where that was not needed or not possible.
    /// </summary>
    public static void BeginAnew()
    {
        if (Environment.GetEnvironmentVariable(Tunables) is not null || SetEnvironment(Tunables, Settings, 0) != 0 || SetEnvironment(YoungBytes, "0x20000000", 0) != 0)
            return; // half a gigabyte of young objects: no collection comes of itself between two calls of Collect
        // libgomp's threads wait for the next loop with a busy core, 300,000 turns long: two trainers on the same cores ran at a third of their pace. With 5,000 a trainer alone is as fast; with 1,000 it is not.
        if (Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is null)
            _ = SetEnvironment("GOMP_SPINCOUNT", "5000", 0);
        PreferTcMalloc();
        try
        {
            ProcessImage.Replace();
        }
        catch (Win32Exception)
        {
            // It trains all the same, only slower.
        }
    }

    private static void PreferTcMalloc()
    {
        if (Environment.GetEnvironmentVariable(Preload) is not null || !NativeLibrary.TryLoad(TcMalloc, out _) || SetEnvironment(Preload, TcMalloc, 0) != 0)
            return;
        _ = SetEnvironment("TCMALLOC_RELEASE_RATE", "0", 0);
        _ = SetEnvironment("TCMALLOC_LARGE_ALLOC_REPORT_THRESHOLD", $"{long.MaxValue}", 0); // It tells stderr of every tensor above a gigabyte.
    }

    /// <summary>
    /// Collects now and then, where no tensor operation is under way. TorchSharp makes a native scalar of a number that is passed to one, and keeps no reference to it:
    /// a collection that another thread brings about meanwhile frees it, and the operation reads what lies there then.
    /// </summary>
    public static void Collect()
    {
        var allocated = GC.GetTotalAllocatedBytes();
        if (!IsOurs || allocated - CollectedAt < BytesBetweenCollections)
            return;
        CollectedAt = allocated;
        GC.Collect(++Collections % 16 == 0 ? GC.MaxGeneration : 1, GCCollectionMode.Forced, blocking: true);
        GC.WaitForPendingFinalizers();
    }

    /// <summary>
    /// The most memory of its own that this process was seen with. What a step has needed stays with the allocator after it, so that a look now and then, and one before something is given back, sees nearly all.
    /// </summary>
    public static long PeakBytes() => Peak = Math.Max(Peak, OwnBytes());

    /// <summary>What is resident, files that it reads not counted.</summary>
    public static long OwnBytes()
    {
        // proc(5): size, resident, shared, … in pages. Read into the stack: whoever looks often is not to be what grows.
        Span<byte> counts = stackalloc byte[256];
        counts = counts[..RandomAccess.Read(PageCounts, counts, fileOffset: 0)];
        var resident = Rest(counts);
        return (First(resident) - First(Rest(resident))) * Environment.SystemPageSize;

        static ReadOnlySpan<byte> Rest(ReadOnlySpan<byte> text) => text[(text.IndexOf((byte)' ') + 1)..];
        static long First(ReadOnlySpan<byte> text) => long.Parse(text[..text.IndexOf((byte)' ')], CultureInfo.InvariantCulture);
    }

    /// <summary>Returns what is free to the system, where that is more than so many bytes: after a phase that needed more than what follows.</summary>
    public static unsafe void GiveBack(long above = 0)
    {
        if (above != 0 && Environment.WorkingSet - BytesInUse() <= above)
            return;
        PeakBytes();
        if (Loaded("MallocExtension_ReleaseFreeMemory") is var release and not 0)
            ((delegate* unmanaged<void>)release)();
        else
            _ = Trim(0);
    }

    /// <summary>What was asked for and not freed, whether it was written to or not.</summary>
    public static long BytesInUse()
    {
        if (Property("generic.current_allocated_bytes"u8) is { } bytes)
            return bytes;
        var statistics = Statistics();
        return (long)(statistics.InUse + statistics.Mapped);
    }

    /// <summary>
    /// Of a limit on private memory, tensors get what the rest of the process leaves and does not come to need: threads, managed objects, code that kernels compile for themselves. There want of memory
    /// ends the process; where a tensor is wanted, it is an exception. Only tcmalloc can be told.
    /// </summary>
    /// <param name="limit">Null: there is none any more.</param>
    public static unsafe void Share(long? limit)
    {
        const long Rest = 192 << 20;
        if (Loaded("MallocExtension_SetNumericProperty") is not (var set and not 0))
            return;
        var megabytes = limit is { } bytes ? Math.Max(1, (bytes - (PrivateBytes() - Property("generic.heap_size"u8)!.Value) - Rest) >> 20) : 0;
        fixed (byte* name = "tcmalloc.heap_limit_mb"u8)
            _ = ((delegate* unmanaged<byte*, nuint, int>)set)(name, (nuint)megabytes);
    }

    /// <summary>What the system counts against <c>RLIMIT_DATA</c>.</summary>
    private static long PrivateBytes() =>
        long.Parse(File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmData:", StringComparison.Ordinal)).AsSpan(7).TrimEnd("kB").Trim(), CultureInfo.InvariantCulture) << 10;

    /// <summary>One of tcmalloc's numbers; null: this process has another allocator.</summary>
    private static unsafe long? Property(ReadOnlySpan<byte> name)
    {
        if (Loaded("MallocExtension_GetNumericProperty") is not (var get and not 0))
            return null;
        nuint value;
        fixed (byte* start = name)
            _ = ((delegate* unmanaged<byte*, nuint*, int>)get)(start, &value);
        return (long)value;
    }

    /// <summary>A function of tcmalloc (gperftools/malloc_extension_c.h); 0: this process has another allocator.</summary>
    private static nint Loaded(string function) => NativeLibrary.TryGetExport(NativeLibrary.GetMainProgramHandle(), function, out var address) ? address : 0;

    /// <summary>glibc's <c>struct mallinfo2</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct MallocInfo(nuint Arena, nuint FreeChunks, nuint FastChunks, nuint MappedChunks, nuint Mapped, nuint Unused, nuint FastFree, nuint InUse, nuint Free, nuint Releasable);

    [LibraryImport("libc", EntryPoint = "mallinfo2")]
    private static partial MallocInfo Statistics();

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int Trim(nuint pad);

    [LibraryImport("libc", EntryPoint = "mallopt")]
    private static partial int Set(int parameter, int value);

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnvironment(string name, string value, int overwrite);
}
