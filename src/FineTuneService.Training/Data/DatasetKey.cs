using System.Security.Cryptography;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Data;

/// <summary>Names a tokenized dataset by all that it is made of: equal names, equal rows.</summary>
internal static class DatasetKey
{
    /// <returns>64 hexadecimal digits.</returns>
    /// <param name="task">Only with options that rows depend on.</param>
    public static string Of(TrainingTaskConfig task, DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Add(typeof(DatasetKey).Module.ModuleVersionId.ToString()); // Changes with every change of the code that reads and writes.
        Add(JsonSerializer.Serialize<TaskConfig>(task, Catalog.Json));
        Add(JsonSerializer.Serialize(
            dataset with
            {
                Train = Path.GetFileName(dataset.Train),
                Validation = Path.GetFileName(dataset.Validation),
                Test = Path.GetFileName(dataset.Test),
                Earlier = null,
                Replay = dataset.Replay is { } replay ? new() { Dataset = Path.GetFileName(replay.Dataset) } : null,
            },
            Catalog.Json));
        Add(JsonSerializer.Serialize(new[] { arguments.MaxLength.Resolved, arguments.DataSeed ?? arguments.Seed }));
        foreach (var file in new[] { dataset.Train, dataset.Validation, dataset.Test, dataset.Replay?.Dataset }.OfType<string>().Concat(tokenizer.Files.Select(file => Path.Combine(tokenizer.Folder, file))))
        {
            Add(Path.GetFileName(file));
            using var bytes = File.OpenRead(file);
            hash.AppendData(SHA256.HashData(bytes));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());

        void Add(string text)
        {
            hash.AppendData(BitConverter.GetBytes(text.Length));
            hash.AppendData(System.Text.Encoding.UTF8.GetBytes(text));
        }
    }
}
