global using TorchSharp;
// Our leaves, not TorchSharp's modules of the same names.
global using Activations = FineTuneService.Training.Models.Layers.Activations;
global using Embedding = FineTuneService.Training.Models.Layers.Embedding;
global using LayerNorm = FineTuneService.Training.Models.Layers.LayerNorm;
global using Linear = FineTuneService.Training.Models.Layers.Linear;
