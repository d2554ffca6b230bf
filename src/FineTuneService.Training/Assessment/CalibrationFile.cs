using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Assessment;

/// <summary>The <see cref="Calibration"/> that a classifier's folder brings.</summary>
public static class CalibrationFile
{
    /// <returns>Null without one.</returns>
    /// <exception cref="FaultException">When it cannot be read.</exception>
    public static Calibration? Read(string folder)
    {
        var path = Path.Combine(folder, Calibration.FileName);
        if (!File.Exists(path))
            return null;
        try
        {
            return JsonSerializer.Deserialize<Calibration>(File.ReadAllBytes(path), SnakeCaseJson.Options) is { Temperature: > 0 and < double.PositiveInfinity } calibration
                ? calibration
                : throw new JsonException("Its temperature is not above 0.");
        }
        catch (JsonException error)
        {
            throw new FaultException(path, null, $"{Calibration.FileName} cannot be read: {error.Message}", "Fetch it again, or delete it: then probabilities are not calibrated.");
        }
    }
}
