using FineTuneService.Contracts;

namespace FineTuneService.Training.Data;

/// <summary>A row of the data as a model reads it, or where that lies.</summary>
/// <param name="Key">Equal for rows that say the same, see <see cref="HeldOut.KeyOf"/>.</param>
public readonly record struct Tokenized<T>(UInt128 Key, T Tokens);

/// <summary>The rows of a job's files, tokenized, with the ledger of each file.</summary>
/// <param name="Validation">Empty when nothing is held out.</param>
public sealed record DatasetSplits<T>(IReadOnlyList<T> Train, IReadOnlyList<T> Validation, IReadOnlyList<T> Test, IReadOnlyList<DataLedger> Ledgers)
{
    /// <summary>Of an earlier dataset, to be learnt again beside the training rows.</summary>
    public IReadOnlyList<T> Replay { get; init; } = [];
}

public static class DatasetSplits
{
    /// <param name="dataset">With paths.</param>
    /// <param name="seed">Of the split.</param>
    /// <param name="read">Reads one file.</param>
    public static DatasetSplits<T> Load<T>(DatasetSpec dataset, long seed, Func<string, (List<Tokenized<T>> Rows, DataLedger Ledger)> read)
    {
        List<DataLedger> ledgers = [];
        var train = Read(dataset.Train);
        var validation = Read(dataset.Validation);
        var test = Read(dataset.Test);
        var replay = Read(dataset.Replay?.Dataset);
        if (dataset.Validation is null && dataset.ValidationSplit > 0)
            (train, validation) = HeldOut.Split(train, dataset.ValidationSplit, seed, row => row.Key);
        return new(Rows(train), Rows(validation), Rows(test), ledgers) { Replay = Rows(replay) };

        List<Tokenized<T>> Read(string? path)
        {
            if (path is null)
                return [];
            var (rows, ledger) = read(path);
            ledgers.Add(ledger);
            return rows;
        }

        static IReadOnlyList<T> Rows(List<Tokenized<T>> rows) => [.. rows.Select(row => row.Tokens)];
    }
}
