using System.ComponentModel.DataAnnotations;

namespace FineTuneService.Api.BaseModels;

/// <summary>Section <c>BaseModels</c>.</summary>
public sealed class BaseModelSettings
{
    /// <summary>Largest archive that may be sent, and the most that one may unpack to.</summary>
    [Range(1, long.MaxValue)]
    public long MaxBytes { get; init; } = 50L << 30;
}
