namespace FineTuneService.Hub;

/// <summary>A file of a repository at a commit.</summary>
/// <param name="Path">Relative, with forward slashes.</param>
/// <param name="Size">Bytes; null where the hub does not tell.</param>
/// <param name="Etag">Its name in the cache: the sha256 of what Git LFS keeps, else the sha1 of the git blob; null where the hub does not tell.</param>
public sealed record HubFile(string Path, long? Size, string? Etag);

/// <summary>What a revision is: a commit and its files.</summary>
/// <param name="Commit">40 hexadecimal digits.</param>
public sealed record HubListing(HubModel Model, string Commit, IReadOnlyList<HubFile> Files);
