using System.ComponentModel;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Native;

/// <summary>
/// A limit on the memory that this process may take from the host: asking for more fails, and nobody has to kill it. It is private writable memory that counts, whether it was written to or not;
/// so a run needs some hundred MB more than it uses.
/// </summary>
public static partial class MemoryLimit
{
    private const int Data = 2; // RLIMIT_DATA, sys/resource.h: private writable memory, however it was got, since Linux 4.7.

    /// <summary>The limit that there was before ours; null: ours is not set.</summary>
    private static ulong? Soft { get; set; }

    private static readonly (string Name, long Bytes)[] Units = [("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("TiB", 1L << 40)];

    /// <summary>Bytes of a number with or without one of the units KiB, MiB, GiB, TiB.</summary>
    /// <exception cref="FaultException">When it is none.</exception>
    public static long Parse(string option, string given)
    {
        var (unit, bytes) = Units.FirstOrDefault(unit => given.EndsWith(unit.Name, StringComparison.OrdinalIgnoreCase), (Name: "", Bytes: 1L));
        return double.TryParse(given.AsSpan(0, given.Length - unit.Length).Trim(), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number) && number * bytes is >= 1 and < long.MaxValue
            ? (long)(number * bytes)
            : throw new FaultException(option, given, "This is no amount of memory.", "Write bytes, or a number with a unit, such as 512MiB or 8GiB.");
    }

    /// <summary>Holds for this process from now on, and for what it becomes or starts.</summary>
    public static void Set(long bytes)
    {
        _ = SHA256.HashData([]); // Loads the system's library for it: .NET aborts when that finds no room later.
        Soft = Change(bytes);
        HostMemory.Share(bytes);
    }

    /// <summary>Lifts what <see cref="Set"/> has set, to have room for what must be done when memory has run out.</summary>
    public static void Lift()
    {
        if (Soft is not { } before)
            return;
        Change((long)Math.Min(before, long.MaxValue));
        HostMemory.Share(null);
        Soft = null;
    }

    /// <returns>What the limit was.</returns>
    private static ulong Change(long bytes)
    {
        if (GetLimit(Data, out var limit) != 0)
            throw new Win32Exception();
        var before = limit.Soft;
        limit.Soft = Math.Min((ulong)bytes, limit.Hard);
        return SetLimit(Data, limit) == 0 ? before : throw new Win32Exception();
    }

    [LibraryImport("libc", EntryPoint = "getrlimit", SetLastError = true)]
    private static partial int GetLimit(int resource, out Limit limit);

    [LibraryImport("libc", EntryPoint = "setrlimit", SetLastError = true)]
    private static partial int SetLimit(int resource, in Limit limit);

    private struct Limit
    {
        public ulong Soft, Hard;
    }
}
