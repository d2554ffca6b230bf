namespace FineTuneService.Training.Tests;

/// <summary>Tests that seed libtorch's generator of random numbers and rely on what it draws: there is one in a process, so nothing may draw beside them.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class GlobalGenerator
{
    public const string Name = "global generator";
}
