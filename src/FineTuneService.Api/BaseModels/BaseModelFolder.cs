using FineTuneService.Contracts;
using FineTuneService.Hub;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Api.BaseModels;

/// <summary>A model to start from.</summary>
public sealed record BaseModelView
{
    /// <summary>What a job gives as <c>base_model</c>.</summary>
    public required string Name { get; init; }

    /// <summary>The commit, of a model that was fetched from the hub.</summary>
    public string? Revision { get; init; }

    /// <summary>The family, from config.json.</summary>
    public string? ModelType { get; init; }

    public bool Supported => WhyNot is null;

    /// <summary>What keeps it from being used.</summary>
    public string? WhyNot { get; init; }

    /// <summary>What it can be trained for.</summary>
    public IReadOnlyList<ModelHead>? Heads { get; init; }

    /// <summary>False: config and tokenizer only, for jobs that draw the first weights (<c>"init": "config"</c>).</summary>
    public bool HasWeights { get; init; }

    /// <summary>Weights in its safetensors files.</summary>
    public long? Parameters { get; init; }

    public int? VocabSize { get; init; }

    /// <summary>Tokens that it reads at most, special tokens included.</summary>
    public int? MaxLength { get; init; }

    /// <summary>Size of all files.</summary>
    public required long Bytes { get; init; }

    public required IReadOnlyList<string> Files { get; init; }

    /// <summary>Null when it cannot be read.</summary>
    internal PretrainedConfig? Config { get; init; }

    /// <summary>Null when they cannot be read, or are not wanted.</summary>
    internal IReadOnlyDictionary<string, SafetensorsEntry>? Tensors { get; init; }
}

/// <summary>A Hugging Face folder; only headers are read.</summary>
public sealed class BaseModelFolder(string name, string path)
{
    public string Name => name;

    public string Path => path;

    /// <summary>Whole models, as <c>name</c> or <c>organisation/name</c>.</summary>
    public static IEnumerable<BaseModelFolder> All(StorageSettings storage) => Folders(storage, "config.json").Where(folder => !AdapterFolder.Is(folder.Path));

    /// <summary>One of them, or what the bucket has by this name; null: neither.</summary>
    public static async Task<BaseModelFolder?> Find(StorageSettings storage, BaseModelFiles models, string name, CancellationToken cancel) =>
        All(storage).FirstOrDefault(folder => folder.Name == name) ?? (HubModel.IsId(name) && await models.FindStored(name, cancel) is { } posted ? new(name, posted) : null);

    /// <summary>The adapters that lie beside them.</summary>
    public static IEnumerable<BaseModelFolder> Adapters(StorageSettings storage) => Folders(storage, AdapterFolder.ConfigFile);

    private static IEnumerable<BaseModelFolder> Folders(StorageSettings storage, string with)
    {
        var root = new DirectoryInfo(storage.ModelsDirectory);
        return !root.Exists
            ? []
            : from folder in root.EnumerateDirectories().Where(child => child.Name[0] != '.').SelectMany(child => child.EnumerateDirectories().Prepend(child))
              where File.Exists(System.IO.Path.Combine(folder.FullName, with))
              let relative = System.IO.Path.GetRelativePath(root.FullName, folder.FullName).Replace('\\', '/')
              orderby relative
              select new BaseModelFolder(relative, folder.FullName);
    }

    /// <param name="init">What a job wants of it: weights that are not read need not be sound.</param>
    public BaseModelView View(WeightsFrom init = WeightsFrom.Pretrained)
    {
        var files = new DirectoryInfo(path).GetFiles().Where(file => Target(file).Exists).ToList();
        var hasWeights = files.Any(file => IsWeights(file.Name));
        var (config, configFault) = Try(() => PretrainedConfig.Read(path));
        var (tensors, tensorsFault) = hasWeights && init == WeightsFrom.Pretrained ? Try(() => SafetensorsReader.ReadHeaders(WeightsFolder()).Entries) : default;
        var hasTokenizer = Tokenizer.IsAmong([.. files.Select(file => file.Name)]);
        return new()
        {
            Name = name,
            ModelType = config?.ModelType ?? configFault?.Value,
            WhyNot = (configFault ?? tensorsFault) is { } fault ? Tell(fault) : hasTokenizer ? null : "It has no tokenizer files: tokenizer.json, or vocab.txt, or vocab.json and merges.txt, or a sentencepiece model.",
            Heads = config is null ? null : [.. config.Heads.Keys],
            HasWeights = hasWeights,
            Parameters = tensors?.Values.Sum(tensor => tensor.Shape.Aggregate(1L, (product, size) => product * size)),
            VocabSize = config?.VocabSize,
            MaxLength = config?.MaxLength,
            Bytes = files.Sum(file => Target(file).Length),
            Files = [.. files.Select(file => file.Name).Order(StringComparer.Ordinal)],
            Config = config,
            Tensors = tensors,
        };
    }

    /// <summary>Of an adapter that of its base: merged they have the same tensors.</summary>
    private string WeightsFolder() => AdapterFolder.Is(path) ? AdapterFolder.Read(path).FindBase(path, given: null) : path;

    /// <summary>In whatever format: a model whose weights cannot be read is not one without.</summary>
    private static bool IsWeights(string file) => file.EndsWith(".safetensors", StringComparison.Ordinal) || file == ModelFiles.WeightsIndex || ModelFiles.IsPickle(file);

    /// <summary>Where the service keeps its files is nobody's business.</summary>
    private string Tell(Fault fault) => $"{fault.Pointer}: {fault.Message} {fault.Remedy}".Replace(path, name, StringComparison.Ordinal);

    /// <summary>In the hub's cache a file is a link, whose own size means nothing.</summary>
    private static FileInfo Target(FileInfo file) => file.ResolveLinkTarget(returnFinalTarget: true) as FileInfo ?? file;

    private static (T? Found, Fault? Fault) Try<T>(Func<T> read) where T : class
    {
        try
        {
            return (read(), null);
        }
        catch (FaultException error)
        {
            return (null, error.Faults[0]);
        }
    }
}
