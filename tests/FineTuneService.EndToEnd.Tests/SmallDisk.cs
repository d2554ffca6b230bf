using System.Diagnostics;
using System.Globalization;
using FineTuneService.Contracts;

namespace FineTuneService.EndToEnd.Tests;

/// <summary>A disk of a few megabytes: a tmpfs in a mount namespace that only those see who are started in it, and that goes with the last of them.</summary>
internal sealed class SmallDisk : IAsyncDisposable
{
    private static readonly bool IsRoot = Environment.IsPrivilegedProcess;

    private readonly string _folder = Directory.CreateTempSubdirectory("finetune-disk-").FullName;
    private readonly Process _holder;

    private SmallDisk(int megabytes)
    {
        var mount = $"mount -t tmpfs -o size={megabytes}m small {_folder} && echo mounted && exec cat"; // cat ends with us.
        _holder = Process.Start(new ProcessStartInfo("unshare", [.. IsRoot ? Array.Empty<string>() : ["--user", "--map-root-user"], "--mount", "sh", "-c", mount])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
    }

    /// <summary>Its folder, as those see it who are started in it.</summary>
    public string Inside => _folder;

    /// <summary>The same folder, as everybody else sees it.</summary>
    public string Outside => $"/proc/{_holder.Id}/root{_folder}";

    public static async Task<SmallDisk> Mount(int megabytes)
    {
        var disk = new SmallDisk(megabytes);
        if (await disk._holder.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken) == "mounted")
            return disk;
        var error = await disk._holder.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await disk.DisposeAsync();
        Assert.Skip($"No disk can be mounted here: {error.Trim()}");
        throw new UnreachableException();
    }

    /// <summary>The command that starts a program in it.</summary>
    /// <param name="output">A file that gets what the program says.</param>
    public ProcessStartInfo StartOf(string program, string workingDirectory, string output) => new("nsenter",
    [
        "--target", _holder.Id.ToString(CultureInfo.InvariantCulture), .. IsRoot ? Array.Empty<string>() : ["--user", "--preserve-credentials"], "--mount",
        "sh", "-c", "cd \"$0\" && exec \"$1\" >>\"$2\" 2>&1", workingDirectory, program, output,
    ]);

    /// <summary>Takes all room but so many bytes.</summary>
    public void Fill(long leave = 0)
    {
        using var file = new FileStream(Filler, FileMode.OpenOrCreate, FileAccess.Write, FileShare.None, bufferSize: 0);
        file.Seek(0, SeekOrigin.End);
        foreach (var size in new[] { 1 << 20, 1 << 12 })
        {
            try
            {
                for (var zeros = new byte[size]; ;)
                    file.Write(zeros);
            }
            catch (IOException error) when (FullDisk.Is(error))
            {
                // As it should be.
            }
        }
        file.SetLength(Math.Max(0, file.Length - leave));
    }

    public void Free() => File.Delete(Filler);

    public async ValueTask DisposeAsync()
    {
        _holder.Kill();
        await _holder.WaitForExitAsync(CancellationToken.None);
        _holder.Dispose();
        Directory.Delete(_folder);
    }

    private string Filler => Path.Combine(Outside, "filler");
}
