using System.Diagnostics;
using System.Formats.Tar;

namespace FineTuneService.Bench;

/// <summary>A Python with transformers, as a command line: it may be in another root, in a container or on another machine.</summary>
internal sealed class Peer(string command)
{
    /// <summary>Runs one of the scripts in <c>peer</c>, with a folder of its own.</summary>
    /// <param name="folder">Copied there.</param>
    /// <returns>What it said, and how long it took.</returns>
    /// <exception cref="InvalidOperationException">When it fails.</exception>
    public (string Said, double Seconds) Run(string script, string folder)
    {
        File.Copy(Path.Combine("tests", "bench", "peer", script), Path.Combine(folder, script), overwrite: true);
        // Takes the folder as tar from standard input and runs the script that is in it.
        var loader = $"import runpy,sys,tarfile,tempfile;d=tempfile.mkdtemp();tarfile.open(fileobj=sys.stdin.buffer,mode='r|').extractall(d);sys.argv=['{script}',d];runpy.run_path(d+'/{script}',run_name='__main__')";
        var words = command.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var start = new ProcessStartInfo(words[0], [.. words[1..], "-c", loader]) { RedirectStandardInput = true };
        start.Environment["HF_HUB_OFFLINE"] = "1";
        return ChildProcess.Run(start, input => TarFile.CreateFromDirectory(folder, input, includeBaseDirectory: false));
    }
}
