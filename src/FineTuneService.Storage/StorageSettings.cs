using FineTuneService.Contracts;
using FineTuneService.Storage.Artifacts;
using Microsoft.Extensions.Configuration;

namespace FineTuneService.Storage;

/// <summary>Where files live; the section <c>Storage</c> of appsettings.json. API and workers must see the same folders, or have a bucket.</summary>
public sealed class StorageSettings
{
    /// <summary>Datasets, runs, the embedded database.</summary>
    public string DataDirectory { get; init; } = "data";

    /// <summary>Base models, one Hugging Face folder each.</summary>
    public string ModelsDirectory { get; init; } = "samples/models";

    /// <summary>Where datasets and checkpoints are kept for all machines, whose data directories are their own then; null: in the data directory, which all share.</summary>
    public S3Settings? S3 { get; init; }

    public string DatasetsDirectory => Path.Combine(DataDirectory, "datasets");

    /// <summary>Datasets as models read them; can be made anew at any time.</summary>
    public string TokenizedDirectory => Path.Combine(DataDirectory, "tokenized");

    /// <summary>Checkpoints from the bucket, where there is one; can be fetched anew at any time.</summary>
    public string CacheDirectory => Path.Combine(DataDirectory, "cache");

    public string DatasetFile(Dataset dataset) => Path.Combine(DatasetsDirectory, $"{dataset.Id}.{dataset.Format}");

    /// <summary>Of a cleaned one: what became of each row that it was made of, a JSON object a line.</summary>
    public string DatasetLedger(Dataset dataset) => Path.Combine(DatasetsDirectory, $"{dataset.Id}.ledger");

    /// <summary>Where cleaned datasets and reports are made, a folder for each.</summary>
    public string PreparationsDirectory => Path.Combine(DataDirectory, "preparations");

    /// <summary>Parts of files that are not complete yet, a folder for each upload.</summary>
    public string UploadsDirectory => Path.Combine(DataDirectory, "uploads");

    public RunFolder Run(string jobId) => new(Path.Combine(DataDirectory, "runs", jobId));

    /// <param name="root">What relative paths are relative to.</param>
    public static StorageSettings From(IConfiguration configuration, string root)
    {
        var given = configuration.GetSection("Storage").Get<StorageSettings>() ?? new();
        return new() { DataDirectory = Path.GetFullPath(given.DataDirectory, root), ModelsDirectory = Path.GetFullPath(given.ModelsDirectory, root), S3 = given.S3 };
    }
}
