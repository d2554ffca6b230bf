using FineTuneService.Training.Verification;

namespace FineTuneService.Training.Tests.Verification;

public sealed class ModelVerificationTests
{
    public static TheoryData<string> Cases => [.. Directory.GetDirectories(Path.Combine(AppContext.BaseDirectory, "Fixtures", "models")).Select(folder => Path.GetFileName(folder)!)];

    /// <summary>Forward, gradients, a greedy text, twenty steps and five accumulated steps equal those of PyTorch and transformers.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void This_machine_computes_what_the_reference_computes(string golden) => Assert.All(
        ModelVerification.Run(Path.Combine(AppContext.BaseDirectory, "Fixtures", "models", golden)),
        check => Assert.True(check.Passed, $"{check.Name}: error {check.Error:E2}, allowed {check.Tolerance:E0}"));
}
