using System.CommandLine;
using System.Globalization;
using FineTuneService.Contracts;
using FineTuneService.Training.Tokenization;
using FineTuneService.Training.Verification;

namespace FineTuneService.Cli;

/// <summary><c>finetune verify DIR…</c>: proof that this build on this machine computes what the reference computes.</summary>
internal static class VerifyCommand
{
    public static Command Create()
    {
        var paths = new Argument<string[]>("paths") { Description = "Golden folders (config.json, model.safetensors, golden.json; or an adapter beside its base); with --tokenizer, golden token files (.jsonl).", Arity = ArgumentArity.OneOrMore };
        var tokenizer = new Option<DirectoryInfo?>("--tokenizer") { Description = "Folder of a tokenizer to check against golden token files." };
        var command = new Command("verify", "Compare models or a tokenizer with golden numbers of the reference.") { paths, tokenizer };
        command.SetAction(parsed => Verb.Run(() => parsed.GetValue(tokenizer) is { } folder
            ? VerifyTokens(folder.FullName, parsed.GetRequiredValue(paths))
            : VerifyModels(parsed.GetRequiredValue(paths))));
        return command;
    }

    private static int VerifyModels(string[] folders)
    {
        var failed = 0;
        foreach (var folder in folders)
        {
            try
            {
                var checks = ModelVerification.Run(folder);
                var passed = checks.All(check => check.Passed);
                failed += passed ? 0 : 1;
                Report(passed, Path.GetFileName(Path.GetFullPath(folder)), checks.Select(check => string.Create(CultureInfo.InvariantCulture,
                    $"{check.Name} {check.Error:E1}{(check.Passed ? "" : $" > {check.Tolerance:E0}")}")));
            }
            catch (FaultException error)
            {
                failed++;
                Report(false, Path.GetFileName(Path.GetFullPath(folder)), error.Faults.Select(fault => fault.ToString()));
            }
        }
        Console.WriteLine($"{folders.Length - failed} passed, {failed} failed");
        return failed == 0 ? 0 : 1;
    }

    private static int VerifyTokens(string folder, string[] files)
    {
        var tokenizer = Tokenizer.Load(folder);
        var reports = files.Select(file => (File: file, Report: TokenizerVerification.Verify(tokenizer, file))).ToList();
        foreach (var (file, report) in reports)
        {
            Report(report.IsExact, Path.GetFileName(file), report.Aspects.Select(aspect => $"{aspect.Name} {aspect.Equal}/{aspect.Total}"));
            foreach (var difference in report.Differences)
                Console.WriteLine($"     {difference}");
        }
        var failed = reports.Count(entry => !entry.Report.IsExact);
        Console.WriteLine($"{reports.Count - failed} passed, {failed} failed");
        return failed == 0 ? 0 : 1;
    }

    private static void Report(bool passed, string name, IEnumerable<string> facts) =>
        Console.WriteLine($"{(passed ? "ok  " : "FAIL")} {name,-24} {string.Join("  ", facts)}");
}
