using System.Security.Cryptography;
using FineTuneService.Storage.Artifacts;

namespace FineTuneService.Worker.Tests;

public sealed class S3ArtifactsTests(S3Server server) : IClassFixture<S3Server>, IDisposable
{
    private readonly S3Artifacts _store = new(server.Settings);
    private readonly string _folder = Directory.CreateTempSubdirectory("finetune-artifacts-").FullName;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_large_file_goes_in_parts_and_comes_back_as_it_was_or_not_at_all()
    {
        var (file, copy) = (Path.Combine(_folder, "large"), Path.Combine(_folder, "copies", "large"));
        var content = RandomNumberGenerator.GetBytes(40 << 20);
        await File.WriteAllBytesAsync(file, content, Cancel);
        var sha256 = Convert.ToHexStringLower(SHA256.HashData(content));
        await _store.Put("large", file, Cancel);

        await Assert.ThrowsAsync<ArtifactDamagedException>(() => _store.Fetch("large", copy, new string('0', 64), Cancel));
        Assert.Empty(Directory.EnumerateFiles(Path.GetDirectoryName(copy)!));
        Assert.True(await _store.Fetch("large", copy, sha256, Cancel));
        Assert.Equal(sha256, Convert.ToHexStringLower(SHA256.HashData(await File.ReadAllBytesAsync(copy, Cancel))));
    }

    [Fact]
    public async Task Names_are_listed_read_and_deleted_by_their_beginning()
    {
        var file = Path.Combine(_folder, "small");
        await File.WriteAllTextAsync(file, "some text", Cancel);
        foreach (var name in new[] { "runs/a/1", "runs/a/2", "runs/b/1" })
            await _store.Put(name, file, Cancel);

        Assert.Equal(["runs/a/1", "runs/a/2"], await _store.List("runs/a/", Cancel));
        Assert.Equal("some text"u8.ToArray(), await _store.Read("runs/b/1", Cancel));
        await _store.Delete("runs/a/", Cancel);
        Assert.Equal(["runs/b/1"], await _store.List("runs/", Cancel));
        Assert.Null(await _store.Read("runs/a/1", Cancel));
        Assert.False(await _store.Fetch("runs/a/1", Path.Combine(_folder, "none"), null, Cancel));
    }

    [Fact]
    public async Task Wrong_keys_and_a_missing_bucket_are_refusals_and_a_server_that_is_away_is_none()
    {
        var settings = server.Settings;
        S3Settings With(string bucket, string key, string endpoint) => new() { Endpoint = endpoint, Bucket = bucket, AccessKey = key, SecretKey = settings.SecretKey, ForcePathStyle = true };
        foreach (var (wrong, isRefused) in new[]
        {
            (With(settings.Bucket, "another", settings.Endpoint!), true),
            (With("no-such-bucket", settings.AccessKey!, settings.Endpoint!), true),
            (With(settings.Bucket, settings.AccessKey!, S3Server.FreeAddress()), false),
        })
        {
            using var store = new S3Artifacts(wrong);
            var error = await Assert.ThrowsAsync<ArtifactsAwayException>(() => store.Check(Cancel));
            Assert.True(error.IsRefused == isRefused, error.Message);
        }
    }

    public void Dispose()
    {
        _store.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}
