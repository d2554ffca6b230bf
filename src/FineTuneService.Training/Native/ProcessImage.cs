using System.ComponentModel;
using System.Runtime.InteropServices;

namespace FineTuneService.Training.Native;

/// <summary>Begins this process anew: same number, same parent, same input and output, same arguments; all memory, also a device's, is given back.</summary>
public static partial class ProcessImage
{
    /// <exception cref="Win32Exception">When the system refuses; it returns in no other way.</exception>
    public static unsafe void Replace()
    {
        var line = File.ReadAllBytes("/proc/self/cmdline"); // Arguments, each ended by a 0.
        fixed (byte* start = line)
        {
            var arguments = new List<nint>();
            for (var at = 0; at < line.Length; at += 1 + Array.IndexOf(line, (byte)0, at) - at)
                arguments.Add((nint)(start + at));
            fixed (nint* pointers = (nint[])[.. arguments, 0])
            {
                _ = Execute(Environment.ProcessPath!, pointers);
            }
        }
        throw new Win32Exception();
    }

    [LibraryImport("libc", EntryPoint = "execv", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int Execute(string path, nint* arguments);
}
