using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Assessment;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Optimization;
using static TorchSharp.torch;

namespace FineTuneService.Training.Checkpoints;

/// <summary>The content of a checkpoint folder: a Hugging Face model folder or a PEFT adapter, plus what an exact resume needs. No pickle.</summary>
/// <param name="weights">What is saved of the model.</param>
/// <param name="companions">Full paths of files that go with the model, such as the tokenizer's; they are copied byte for byte.</param>
public sealed class Checkpoint(RunFolder run, TrainedWeights weights, IReadOnlyList<string> companions, ExportVerification verification, ModelCard card)
{
    private const string TrainerStateFile = "trainer_state.json", ResumeStateFile = "resume_state.json";
    private const string OptimizerFile = "optimizer.safetensors";

    /// <param name="judged">What this very model says of the validation rows, where it sorts texts into classes.</param>
    /// <returns>How it was proved that the files are the model.</returns>
    public ExportProof Write(string folder, TrainerState state, Optimizer optimizer, ClassifierOutputs? judged = null)
    {
        using var scope = NewDisposeScope();
        weights.Save(folder);
        foreach (var file in companions)
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        SafetensorsWriter.Write(Path.Combine(folder, OptimizerFile), optimizer.State);
        WriteJson(Path.Combine(folder, TrainerStateFile), state);
        WriteJson(Path.Combine(folder, ResumeStateFile), state.Resume);
        if (judged is not null)
            new ClassifierAssessment(judged).Write(folder);
        var proof = verification.Prove(folder);
        File.WriteAllText(Path.Combine(folder, ModelCard.FileName), card.Write(state, state.Resume.EvaluatedHere ?? [], proof.ToString()));
        return proof;
    }

    /// <summary>Puts model and optimizer into the state they had after <paramref name="step"/>.</summary>
    public TrainerState Load(int step, Optimizer optimizer)
    {
        using var scope = NewDisposeScope();
        LoadWeights(step);
        var folder = run.Checkpoint(step);
        using (var saved = SafetensorsReader.Open(Path.Combine(folder, OptimizerFile)))
            optimizer.LoadState(saved.Read);
        var state = ReadJson<TrainerState>(Path.Combine(folder, TrainerStateFile));
        state.Resume = ReadJson<ResumeState>(Path.Combine(folder, ResumeStateFile));
        return state;
    }

    public void LoadWeights(int step) => weights.Load(run.Checkpoint(step));

    private static void WriteJson<T>(string path, T value) => File.WriteAllText(path, JsonSerializer.Serialize(value, SnakeCaseJson.Indented));

    private static T ReadJson<T>(string path) => JsonSerializer.Deserialize<T>(File.ReadAllBytes(path), SnakeCaseJson.Options)!;
}
