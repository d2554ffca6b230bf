using System.ComponentModel;
using System.Runtime.InteropServices;

namespace FineTuneService.Training.Native;

/// <summary>What .NET lacks for files that must survive a power cut: fsync of a folder.</summary>
public static partial class Durable
{
    /// <summary>Brings a folder's files and its entries to the disk.</summary>
    public static void FlushFolder(string folder)
    {
        foreach (var file in Directory.EnumerateFiles(folder))
            Flush(file);
        Flush(folder);
    }

    /// <summary>Brings a file's bytes, or a folder's entries, to the disk.</summary>
    /// <exception cref="IOException">When the system refuses.</exception>
    public static void Flush(string path)
    {
        var descriptor = Open(path, 0); // O_RDONLY
        if (descriptor < 0)
            throw Failure("open", path);
        try
        {
            if (Fsync(descriptor) != 0)
                throw Failure("fsync", path);
        }
        finally
        {
            _ = Close(descriptor);
        }
    }

    private static IOException Failure(string call, string path)
    {
        var error = Marshal.GetLastPInvokeError();
        return new($"{call} of {path} failed: {new Win32Exception(error).Message}", error);
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Fsync(int descriptor);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
