using FineTuneService.Contracts;

namespace FineTuneService.Training.DataQuality;

/// <summary>The files of a dataset; validation and test may be absent.</summary>
public sealed record DatasetFiles(string Train, string? Validation = null, string? Test = null)
{
    /// <summary>Those that are there, training first.</summary>
    public IEnumerable<(DataSplit Split, string Path)> Given =>
        new[] { (DataSplit.Train, (string?)Train), (DataSplit.Validation, Validation), (DataSplit.Test, Test) }.Where(file => file.Item2 is not null).Select(file => (file.Item1, file.Item2!));
}
