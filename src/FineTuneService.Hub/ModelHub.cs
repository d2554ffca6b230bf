using FineTuneService.Contracts;

namespace FineTuneService.Hub;

/// <summary>Models of the Hugging Face hub, through a cache that others may share. Safe for any number of threads and processes.</summary>
public sealed class ModelHub : IDisposable
{
    private const int Connections = 4;

    private readonly HubSettings _settings;
    private readonly HubClient _client;
    private readonly HubCache _cache;
    private readonly Download _download;

    public ModelHub(HubSettings settings)
    {
        (_settings, _client, _cache) = (settings, new(settings), new(settings.CacheDirectory));
        _download = new(_client, _cache, settings);
    }

    /// <summary>Every snapshot in the cache that is whole.</summary>
    public IEnumerable<HubSnapshot> Cached() => _cache.Snapshots();

    /// <summary>
    /// What a revision is now, cheaply: config and tokenizer go into the cache, of weights that are not there only the headers are read.
    /// The result's folder is as large as the model looks and as small as it is: weights are sparse files without a number in them.
    /// </summary>
    /// <param name="folder">An empty folder to lay it out in.</param>
    /// <exception cref="FaultException">When the model cannot be had, or is none that can be used.</exception>
    /// <exception cref="HubUnreachableException">When network or hub fail.</exception>
    public async Task<HubSnapshot> Preview(HubModel model, string folder, CancellationToken cancel)
    {
        if (_settings.Offline)
            return CachedOnly(model);
        try
        {
            var (listing, descriptions, weights) = await Open(model, new(), cancel);
            foreach (var file in descriptions)
                LinkInto(folder, file.Path, _cache.Blob(model.Id, file.Etag!));
            await ForEach(weights, (file, token) => PreviewWeights(listing, file, folder, token), cancel);
            return new(model.Id, listing.Commit, folder);
        }
        catch (HubUnreachableException) when (Kept(model) is not null)
        {
            return Kept(model)!;
        }
    }

    /// <summary>Brings everything that is needed into the cache.</summary>
    /// <param name="model">At a commit, as a rule: one that is cached whole can do without the hub.</param>
    /// <param name="withWeights">False: only config and tokenizer, for a model that is trained from its config on.</param>
    /// <inheritdoc cref="Preview"/>
    public async Task<HubSnapshot> Fetch(HubModel model, DownloadProgress progress, CancellationToken cancel, bool withWeights = true)
    {
        if (_settings.Offline)
            return CachedOnly(model, withWeights);
        try
        {
            var (listing, _, weights) = await Open(model, progress, cancel, withWeights);
            await ForEach(weights, (file, token) => FetchAndLink(listing, file, progress, token), cancel);
            return new(model.Id, listing.Commit, _cache.Snapshot(model.Id, listing.Commit));
        }
        catch (HubUnreachableException) when (Kept(model, withWeights) is not null)
        {
            return Kept(model, withWeights)!;
        }
    }

    public void Dispose() => _client.Dispose();

    /// <summary>A commit does not change: whole in the cache, it needs no hub.</summary>
    private HubSnapshot? Kept(HubModel model, bool withWeights = true) => HubModel.IsCommit(model.Revision) ? _cache.Whole(model.Id, model.Revision, withWeights) : null;

    private HubSnapshot CachedOnly(HubModel model, bool withWeights = true) =>
        _cache.CommitOf(model) is { } commit && _cache.Whole(model.Id, commit, withWeights) is { } whole ? whole : throw HubRefusal.Offline(model);

    /// <summary>Resolves the revision and brings in what describes the model; the weights are then known by name and size.</summary>
    private async Task<(HubListing Listing, IReadOnlyList<HubFile> Descriptions, IReadOnlyList<HubFile> Weights)> Open(HubModel model, DownloadProgress progress, CancellationToken cancel, bool withWeights = true)
    {
        var listing = await Patience.Repeat(_settings, () => _client.List(model, cancel), cancel);
        if (listing.Files.FirstOrDefault(file => !ModelFiles.IsInside(file.Path)) is { } stray)
            throw new FaultException("/base_model", stray.Path, "The repository names a file outside itself.", "Do not use this repository; tell the hub's operators.");
        var paths = listing.Files.Select(file => file.Path).ToHashSet();
        if (!paths.Contains(ModelFiles.WeightsIndex) || paths.Contains(ModelFiles.SingleWeights))
            ModelFiles.Weights(paths, () => ""); // Says that there are none before anything is fetched.

        var descriptions = await Sized(listing, listing.Files.Where(file => ModelFiles.IsDescription(file.Path) && !(file.Path == ModelFiles.WeightsIndex && paths.Contains(ModelFiles.SingleWeights))), cancel);
        CheckSize(model, descriptions);
        await ForEach(descriptions, (file, token) => FetchAndLink(listing, file, progress, token), cancel);
        var names = !withWeights ? [] : ModelFiles.Weights(paths, () => File.ReadAllText(Path.Combine(_cache.Snapshot(model.Id, listing.Commit), ModelFiles.WeightsIndex)));
        var weights = await Sized(listing, listing.Files.Where(file => names.Contains(file.Path)), cancel);
        CheckSize(model, [.. descriptions, .. weights]);
        progress.Begin(descriptions.Concat(weights).Sum(file => file.Size!.Value));
        _cache.Remember(model, listing.Commit);
        return (listing, descriptions, weights);
    }

    /// <summary>With size and etag, asked for where a mirror's listing lacks them.</summary>
    private async Task<IReadOnlyList<HubFile>> Sized(HubListing listing, IEnumerable<HubFile> files, CancellationToken cancel)
    {
        var sized = files.ToArray();
        await ForEach(Enumerable.Range(0, sized.Length), async (at, token) =>
        {
            var file = sized[at];
            if (file.Size is null || file.Etag is null)
                file = await Patience.Repeat(_settings, () => _client.Describe(listing, file, token), token);
            sized[at] = file is { Size: not null, Etag: not null } ? file : throw HubRefusal.Damaged(file.Path, "The hub tells no size or no hash of this file, so nobody could check it.");
        }, cancel);
        return sized;
    }

    private void CheckSize(HubModel model, IReadOnlyList<HubFile> files)
    {
        var bytes = files.Aggregate(0L, (sum, file) => sum > long.MaxValue - file.Size!.Value ? long.MaxValue : sum + file.Size.Value);
        if (bytes > _settings.MaxBytes)
            throw new FaultException("/base_model", model.Id, $"The model has {bytes} bytes, more than the {_settings.MaxBytes} that are allowed.", "Choose a smaller model, or raise Hub:MaxBytes.");
    }

    private async Task FetchAndLink(HubListing listing, HubFile file, DownloadProgress progress, CancellationToken cancel)
    {
        await _download.Fetch(listing, file, progress, cancel);
        _cache.Link(listing.Model.Id, listing.Commit, file);
    }

    private async Task PreviewWeights(HubListing listing, HubFile file, string folder, CancellationToken cancel)
    {
        if (_cache.Has(listing.Model.Id, file))
            LinkInto(folder, file.Path, _cache.Blob(listing.Model.Id, file.Etag!));
        else
            await WeightsHead.Write(_client, _settings, listing, file, Path.Combine(folder, file.Path), cancel);
    }

    private static void LinkInto(string folder, string name, string blob)
    {
        var path = Path.Combine(folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.CreateSymbolicLink(path, blob);
    }

    private static Task ForEach<T>(IEnumerable<T> items, Func<T, CancellationToken, Task> act, CancellationToken cancel) =>
        Parallel.ForEachAsync(items, new ParallelOptions { MaxDegreeOfParallelism = Connections, CancellationToken = cancel }, (item, token) => new ValueTask(act(item, token)));
}
