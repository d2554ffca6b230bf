using FineTuneService.Contracts;

namespace FineTuneService.Training.DataQuality;

/// <summary>Makes a clean dataset of another by a recipe.</summary>
public static class DataCleaner
{
    /// <exception cref="FaultException">When a file cannot be read at all, a column is missing, or nothing would be left.</exception>
    public static CleaningResult Run(DatasetFiles files, CleaningRecipe recipe, CleanedFolder folder, Action<DataProgress> progress) => throw new NotSupportedException($"{files} {recipe} {folder} {progress}");
}
