using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using FineTuneService.Storage.Artifacts;

namespace FineTuneService.Worker.Tests;

/// <summary>A real S3 server, s3rver of npm, as a process that can go away and come back.</summary>
public sealed class S3Server : IAsyncLifetime
{
    private const string Bucket = "artifacts", Key = "S3RVER", ObjectSuffix = "._S3rver_object";

    private static readonly string Package = Path.Combine(AppContext.BaseDirectory, "s3rver");

    private readonly string _folder = Directory.CreateTempSubdirectory("finetune-s3-").FullName;
    private readonly int _port = FreePort();
    private Process? _process;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public S3Settings Settings => new() { Endpoint = $"http://127.0.0.1:{_port}", Bucket = Bucket, Prefix = "house/", AccessKey = Key, SecretKey = Key, ForcePathStyle = true };

    public (string, string)[] Environment =>
    [
        ("Storage__S3__Endpoint", Settings.Endpoint!), ("Storage__S3__Bucket", Bucket), ("Storage__S3__Prefix", Settings.Prefix),
        ("Storage__S3__AccessKey", Key), ("Storage__S3__SecretKey", Key), ("Storage__S3__ForcePathStyle", "true"),
    ];

    /// <summary>Names of all objects, without the prefix.</summary>
    public IReadOnlyList<string> Objects => Directory.Exists(Root)
        ? [.. Directory.EnumerateFiles(Root, "*" + ObjectSuffix, SearchOption.AllDirectories).Select(file => Path.GetRelativePath(Root, file)[..^ObjectSuffix.Length]).Order(StringComparer.Ordinal)]
        : [];

    private string Root => Path.Combine(_folder, Bucket, Settings.Prefix);

    public async ValueTask InitializeAsync()
    {
        if (!File.Exists(Path.Combine(Package, "node_modules", ".package-lock.json")))
        {
            using var install = Process.Start(new ProcessStartInfo("npm", ["ci", "--no-audit", "--no-fund"]) { WorkingDirectory = Package, RedirectStandardOutput = true })!;
            await install.StandardOutput.ReadToEndAsync(Cancel);
            await install.WaitForExitAsync(Cancel);
            Assert.Equal(0, install.ExitCode);
        }
        await Start();
    }

    public async Task Start()
    {
        string[] arguments = [Path.Combine("node_modules", "s3rver", "bin", "s3rver.js"), "-d", _folder, "-a", "127.0.0.1", "-p", _port.ToString(CultureInfo.InvariantCulture), "-s", "--configure-bucket", Bucket];
        _process = Process.Start(new ProcessStartInfo("node", arguments) { WorkingDirectory = Package, RedirectStandardOutput = true, RedirectStandardError = true })!;
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        using var store = new S3Artifacts(Settings);
        while (true)
        {
            try
            {
                await store.Check(Cancel);
                return;
            }
            catch (ArtifactsAwayException)
            {
                Assert.False(_process.HasExited, "The S3 server ended while starting.");
                await Task.Delay(100, Cancel);
            }
        }
    }

    public async Task Stop()
    {
        _process!.Kill();
        await _process.WaitForExitAsync(CancellationToken.None);
        _process.Dispose();
    }

    /// <summary>Changes a byte in the middle of an object.</summary>
    public void Damage(string name)
    {
        using var file = new FileStream(Path.Combine(Root, name + ObjectSuffix), FileMode.Open, FileAccess.ReadWrite);
        file.Position = file.Length / 2;
        var value = file.ReadByte();
        file.Position--;
        file.WriteByte((byte)(value ^ 1));
    }

    public async ValueTask DisposeAsync()
    {
        await Stop();
        Directory.Delete(_folder, recursive: true);
    }

    public static string FreeAddress() => $"http://127.0.0.1:{FreePort()}";

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
