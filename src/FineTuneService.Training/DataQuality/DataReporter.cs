using FineTuneService.Contracts;

namespace FineTuneService.Training.DataQuality;

/// <summary>Looks for what is the matter with a dataset.</summary>
public static class DataReporter
{
    /// <exception cref="FaultException">When a file cannot be read at all, or a column is missing.</exception>
    public static DataReport Run(DatasetFiles files, DataReportOptions options, Action<DataProgress> progress) => throw new NotSupportedException($"{files} {options} {progress}");
}
