namespace FineTuneService.Storage.Artifacts;

/// <summary>The data directory itself, on a disk that all machines share: there is nothing to do.</summary>
public sealed class DiskArtifacts : ArtifactStore
{
    public override bool IsDisk => true;

    public override Task Put(string name, string file, CancellationToken cancel) => Task.CompletedTask;

    public override Task<bool> Fetch(string name, string file, string? sha256, CancellationToken cancel) => Task.FromResult(File.Exists(file));

    public override Task<byte[]?> Read(string name, CancellationToken cancel) => Task.FromResult<byte[]?>(null);

    public override Task<IReadOnlyList<string>> List(string prefix, CancellationToken cancel) => Task.FromResult<IReadOnlyList<string>>([]);

    public override Task Delete(string prefix, CancellationToken cancel) => Task.CompletedTask;

    public override Task Check(CancellationToken cancel) => Task.CompletedTask;
}
