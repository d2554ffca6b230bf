using FineTuneService.Contracts;

namespace FineTuneService.Training.Methods;

/// <summary>Every weight is trained.</summary>
[SpecType("full")]
public sealed record FullFineTuningConfig : MethodConfig;
