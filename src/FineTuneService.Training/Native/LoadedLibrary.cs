using System.Runtime.InteropServices;

namespace FineTuneService.Training.Native;

/// <summary>Shared libraries that this process has in memory already.</summary>
internal static partial class LoadedLibrary
{
    /// <summary>The address of what a library, or one that it needs, exports; 0: it does not, or is not here.</summary>
    public static nint Export(string library, string name)
    {
        const int Lazy = 1, NoLoad = 4; // dlopen(3)
        return Open(library, Lazy | NoLoad) is var handle and not 0 && NativeLibrary.TryGetExport(handle, name, out var address) ? address : 0;
    }

    [LibraryImport("libc", EntryPoint = "dlopen", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint Open(string name, int flags);
}
